"""Foundation-PLR: how cleaning of pupil recordings propagates to glaucoma screening."""
