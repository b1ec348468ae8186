"""Reports that let others repeat a finding: write one, examine the files again, and compare."""
