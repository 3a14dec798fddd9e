"""The trader split over processes in simulated worlds: its real services on virtual time, over a simulated bus."""
