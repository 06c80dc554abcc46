"""Dataset restoration: networks that give compressed images back what compression took."""
