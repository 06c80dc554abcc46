"""What result rows say about loss, shift and restoration: queries and sentences, no drawing."""
