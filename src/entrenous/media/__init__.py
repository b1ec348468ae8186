"""Decode and encode pictures, clips and sounds without metadata; files of strangers are decoded in
a sandboxed child process.
"""
