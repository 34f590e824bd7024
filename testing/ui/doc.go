// Package ui tests the dashboard in a real browser, Debian's chromium, on a node with
// clients and traffic. Without chromium the tests are skipped, and say so.
//
// Whatever a test does, its page must not log an error, must not break the content
// policy, and must not ask another host for anything. Screenshots go to the tests'
// artifacts: go test -artifacts -outputdir DIR.
package ui
