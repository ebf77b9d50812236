"""Foundation-PLR: how cleaning of pupil recordings propagates to glaucoma screening."""

import sys

# Where a disk fills up Python may leave a part of a module's bytecode, on which every later command fails.
sys.dont_write_bytecode = True
