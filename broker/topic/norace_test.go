//go:build !race

package topic

const raceFactor = 1
