"""What says who somebody is, as bytes."""
