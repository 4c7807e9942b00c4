// Package paging has the parameters that every list of the API takes. They are embedded in
// the inputs of the operations, for which their names must be exported.
package paging

// Selection narrows the items of a list to some of their fields.
type Selection struct {
	Fields []string `query:"fields" maxItems:"50" doc:"Only these fields of each item, separated by commas; what else the schema requires is left out then"`
}

// Selected is the selection itself.
func (s *Selection) Selected() *Selection { return s }

// Page is a selection out of a list that comes in pages.
type Page struct {
	Selection
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"At most so many items; filters may give less and a cursor all the same"`
	Cursor string `query:"cursor" maxLength:"4000" doc:"nextCursor of an earlier answer to the same filters"`
	// Uncounted is set by who reads the list, where reading on in order to count would
	// cost more than rows.
	Uncounted bool `json:"-"`
}

// Paged is the page itself.
func (p *Page) Paged() *Page { return p }
