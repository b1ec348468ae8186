"""Write the results of benchmarks as JSON, Markdown and plots."""
