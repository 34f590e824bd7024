package auth

// attempt is one login that a Checker judges.
type attempt struct{}
