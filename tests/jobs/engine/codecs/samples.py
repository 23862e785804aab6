"""What several files of these tests write into pictures."""

from PIL import ImageCms

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


WRITABLE = ["png", "jpeg", "webp", "avif", "tiff"]
