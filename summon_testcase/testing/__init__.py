"""What knows test runners: TestCase mixins, scopes, reports of failing tests."""
