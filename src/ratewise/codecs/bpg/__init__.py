"""BPG: HEVC intra pictures in Bellard's container, read and written in this process.

``container`` and ``bits`` are pure bytes, ``parameter_sets`` takes HEVC's headers apart and puts
them together, ``hevc`` codes planes through PyAV, ``colour`` turns planes into RGB and back, and
``codec`` is the :class:`ratewise.codecs.base.Codec`. ``docs/formats/bpg.md`` specifies the files.
"""
