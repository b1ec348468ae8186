"""From rows to what people read: JSON, Markdown and plots."""
