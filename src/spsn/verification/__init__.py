"""Whether a folder of results is what its run records say: `spsn verify`. Nothing else imports from here."""
