package admin

// GetRoutes are the patterns of the pages that are read, for tests of all of them.
func GetRoutes() []string {
	var patterns []string
	for _, r := range routes() {
		if r.method == "GET" {
			patterns = append(patterns, r.pattern)
		}
	}
	return patterns
}
