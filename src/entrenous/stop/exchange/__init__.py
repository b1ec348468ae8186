"""What exchanges between platforms mean for banks: what is served to whom, what a fetch does."""
