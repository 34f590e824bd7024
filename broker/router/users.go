package router

import "sync"

// users counts the persistent sessions of each user name; those without one are not
// counted.
type users struct {
	mu sync.Mutex
	n  map[string]int
}

// add counts a session of a user. It reports false when there are limit already; 0 is
// no limit.
func (u *users) add(user string, limit int) bool {
	if user == "" {
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if limit > 0 && u.n[user] >= limit {
		return false
	}
	if u.n == nil {
		u.n = map[string]int{}
	}
	u.n[user]++
	return true
}

func (u *users) remove(user string) {
	if user == "" {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.n[user]--; u.n[user] <= 0 {
		delete(u.n, user)
	}
}
