"""TRACE: whose copy is this?"""
