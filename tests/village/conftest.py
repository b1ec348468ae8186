from tests.village.features import cache_picture_records

__all__ = ["cache_picture_records"]
