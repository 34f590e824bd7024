// Package hooks is where others have a say: our own ports ([Authenticator],
// [Authorizer]), then any third-party hook made for mochi, asked in the order in
// which they were added.
package hooks
