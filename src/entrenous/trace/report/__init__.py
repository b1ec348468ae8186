"""Reports that let others repeat a finding: disclose one, examine the files again, and compare."""
