-- By what the user had come in to whom a client was given something, as JSON: it goes on for as long as all of that is open.
ALTER TABLE policy_codes ADD COLUMN ways TEXT;
ALTER TABLE policy_grants ADD COLUMN ways TEXT;
