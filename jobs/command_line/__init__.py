"""What `manage.py upscale` needs and no server does."""
