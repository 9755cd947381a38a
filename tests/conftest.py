"""What every test shares. (PyAV's log capture stays off: its callback can deadlock with decoder threads.)"""
