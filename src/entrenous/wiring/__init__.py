"""The one place where ports meet adapters, a module per room: device, relay, platform."""
