"""Networks that methods of several rooms share: how they are built, trained, kept, and where weights are."""
