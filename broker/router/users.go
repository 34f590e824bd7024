package router

import "sync"

// quota is what is counted for each user.
type quota uint8

const (
	ofSessions quota = iota // persistent ones
	ofConnections
	ofSubscriptions
	quotaKinds
)

// users counts what each user has on this node, for limits. Those without a name are
// not counted: they are nobody, or many.
type users struct {
	mu sync.Mutex
	n  map[string][quotaKinds]int
}

// add counts one more. It reports false when there are limit already; 0 is no limit.
func (u *users) add(user string, what quota, limit int) bool { return u.addAll(user, what, 1, limit) }

func (u *users) addAll(user string, what quota, n, limit int) bool {
	if user == "" {
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	of := u.n[user]
	if limit > 0 && of[what]+n > limit {
		return false
	}
	if u.n == nil {
		u.n = map[string][quotaKinds]int{}
	}
	of[what] += n
	u.n[user] = of
	return true
}

// over reports whether one more would be beyond limit. Two of a user who ask at once may
// both hear that it is not.
func (u *users) over(user string, what quota, limit int) bool {
	if user == "" || limit <= 0 {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.n[user][what] >= limit
}

func (u *users) remove(user string, what quota, n int) {
	if user == "" {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	of := u.n[user]
	of[what] = max(0, of[what]-n)
	if of == [quotaKinds]int{} {
		delete(u.n, user)
		return
	}
	u.n[user] = of
}
