from tests.village.features import features_once

__all__ = ["features_once"]
