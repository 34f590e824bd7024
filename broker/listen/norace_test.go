//go:build !race

package listen

// underRace is when memory is not what it will be.
const underRace = false
