"""The packed form: weights entropy-coded inside the smallest graph that a server loads."""
