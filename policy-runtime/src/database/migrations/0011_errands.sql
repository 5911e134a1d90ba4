-- What a browser is on an errand for; what the question then is: a client's, a session's id, or the hash of an invitation.
ALTER TABLE policy_logins ADD COLUMN purpose TEXT NOT NULL DEFAULT 'sign-in';
