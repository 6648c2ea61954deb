def check_library(*a): pass
