"""The jobs API over HTTP: views translate, serializers check shape, nothing here decides."""
