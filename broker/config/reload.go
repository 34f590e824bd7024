package config

import "reflect"

// Reloadable compares the tree in force with a new one and returns the paths that
// changed and take effect only after a restart, in the order of the tree. All
// other changes may be put into force while the node runs.
func (c *Config) Reloadable(next *Config) []string {
	var paths []string
	changed(reflect.ValueOf(c).Elem(), reflect.ValueOf(next).Elem(), "", false, &paths)
	return paths
}

// changed adds the paths below path that differ and are marked for a restart.
func changed(a, b reflect.Value, path string, restart bool, out *[]string) {
	switch {
	case isSection(a.Type()):
		for i := range a.NumField() {
			f := a.Type().Field(i)
			changed(a.Field(i), b.Field(i), below(path, f.Tag.Get("koanf")), (restart || f.Tag.Get("restart") == "yes") && f.Tag.Get("restart") != "no", out)
		}
	case !restart || reflect.DeepEqual(a.Interface(), b.Interface()):
	case a.Kind() == reflect.Slice && a.Len() == b.Len() && isSection(a.Type().Elem()):
		for i := range a.Len() {
			changed(a.Index(i), b.Index(i), item(path, i), restart, out)
		}
	default:
		*out = append(*out, path)
	}
}
