"""Making confidence honest: the temperature of a classifier, the cutoffs of a policy."""
