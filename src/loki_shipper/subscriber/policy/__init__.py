"""The account policy, which links log groups where `LinkMode` is `account`."""
