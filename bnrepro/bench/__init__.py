"""How fast bnrepro is on this machine, beside the loop that everybody writes and the hardware's limit."""
