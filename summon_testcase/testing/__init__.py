"""The part that depends on test runners: TestCase mixins, scopes, reports of failing tests."""
