"""A folder for PYTHONPATH, with a module of ncnn's name."""
