"""From a signal with missing samples to a complete one."""
