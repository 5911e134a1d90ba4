const login = new BearerTokenAuthProvider(async () => 'TOKEN')
