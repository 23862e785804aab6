"""One command per file; ``manage.py help`` lists them."""
