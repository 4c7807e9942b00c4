package bitrix24test

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
)

// Bounds of what a request may carry. PHP has the same kind of bounds (post_max_size,
// max_input_vars, max_input_nesting_level).
const (
	maxBody    = 8 << 20
	maxVars    = 10_000 // variables of a query string, a form or a batch command
	maxNesting = 64     // arrays inside arrays
)

type nodeKind uint8

const (
	nullNode nodeKind = iota
	boolNode
	numberNode
	textNode
	arrayNode
)

// node is a request parameter as PHP sees it: a scalar or an ordered map. Lists are maps with
// the keys "0", "1", and so on. A nil node is an absent parameter.
type node struct {
	kind  nodeKind
	text  string // of a scalar, as PHP would print it: "1" and "" for the booleans
	keys  []string
	items []*node
	index map[string]int // built once there are many keys
	next  int            // the key that [] takes
}

func newArray() *node           { return &node{kind: arrayNode} }
func newText(text string) *node { return &node{kind: textNode, text: text} }

// texts makes an array of keys and values.
func texts(pairs ...string) *node {
	array := newArray()
	for i := 0; i < len(pairs); i += 2 {
		array.push(pairs[i], newText(pairs[i+1]))
	}
	return array
}

func (n *node) find(key string) int {
	if len(n.keys) <= 16 {
		for i, k := range n.keys {
			if k == key {
				return i
			}
		}
		return -1
	}
	if n.index == nil {
		n.index = make(map[string]int, len(n.keys))
		for i, k := range n.keys {
			n.index[k] = i
		}
	}
	if i, ok := n.index[key]; ok {
		return i
	}
	return -1
}

// set puts item under key; a key that exists keeps its place.
func (n *node) set(key string, item *node) {
	if i := n.find(key); i >= 0 {
		n.items[i] = item
		return
	}
	n.push(key, item)
}

// push adds item under a key that does not exist yet.
func (n *node) push(key string, item *node) {
	if n.index != nil {
		n.index[key] = len(n.keys)
	}
	n.keys, n.items = append(n.keys, key), append(n.items, item)
	if i, err := strconv.Atoi(key); err == nil && i >= n.next && i < 1<<31 {
		n.next = i + 1
	}
}

// get returns the item under exactly this key, or nil.
func (n *node) get(key string) *node {
	if n == nil || n.kind != arrayNode {
		return nil
	}
	if i := n.find(key); i >= 0 {
		return n.items[i]
	}
	return nil
}

// fold returns the item under key in any case, or nil. Of two spellings the last one counts.
func (n *node) fold(key string) *node {
	if n == nil {
		return nil
	}
	for i := len(n.keys) - 1; i >= 0; i-- {
		if strings.EqualFold(n.keys[i], key) {
			return n.items[i]
		}
	}
	return nil
}

func (n *node) isArray() bool { return n != nil && n.kind == arrayNode }

func (n *node) isNull() bool { return n == nil || n.kind == nullNode }

// string returns the scalar as text, "" for null, for arrays and for what is absent.
func (n *node) string() string {
	if n == nil {
		return ""
	}
	return n.text
}

// truthy is PHP's conversion to a boolean.
func (n *node) truthy() bool {
	switch {
	case n == nil:
		return false
	case n.kind == arrayNode:
		return len(n.items) > 0
	default:
		return n.text != "" && n.text != "0"
	}
}

// number is PHP's intval: the leading digits count, other text is 0.
func (n *node) number() int64 { return leadingInt(n.string()) }

func leadingInt(text string) int64 {
	text = strings.TrimLeft(text, " \t\r\n")
	end := 0
	for end < len(text) && (text[end] >= '0' && text[end] <= '9' || end == 0 && (text[0] == '-' || text[0] == '+')) {
		end++
	}
	number, _ := strconv.ParseInt(text[:end], 10, 64) // the nearest bound when out of range
	return number
}

// isInteger tells whether the scalar is a whole number, written as one or in a string.
func (n *node) isInteger() bool {
	if n == nil || n.kind == arrayNode || n.kind == boolNode {
		return false
	}
	_, err := strconv.ParseInt(n.text, 10, 64)
	return err == nil
}

// merge copies the items of other into n; the items of other win.
func (n *node) merge(other *node) {
	for i, key := range other.keys {
		n.set(key, other.items[i])
	}
}

// parseQuery reads a query string or an urlencoded body with PHP's bracket rules.
func parseQuery(raw string) *node {
	root := newArray()
	for vars := 0; raw != "" && vars < maxVars; vars++ {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		key, value, _ := strings.Cut(pair, "=")
		root.assign(unescape(key), newText(unescape(value)))
	}
	return root
}

// assign puts value under a bracket key such as filter[>ID]. A key that nests too deep is dropped.
func (n *node) assign(key string, value *node) {
	path := splitKey(key)
	if len(path) == 0 || len(path) > maxNesting {
		return
	}
	for i, name := range path {
		if name == "" && i > 0 {
			name = strconv.Itoa(n.next)
		}
		if i == len(path)-1 {
			n.set(name, value)
			return
		}
		child := n.get(name)
		if !child.isArray() {
			child = newArray()
			n.set(name, child)
		}
		n = child
	}
}

// splitKey cuts a[b][] into "a", "b", "". As in PHP, a bracket that is never closed is a part of
// the name, and what follows a closed one without a bracket is dropped.
func splitKey(key string) []string {
	key = strings.TrimLeft(key, " ")
	name, rest, found := strings.Cut(key, "[")
	if found && !strings.Contains(rest, "]") {
		name, rest, found = name+"_"+rest, "", false
	}
	if name == "" {
		return nil
	}
	path := []string{strings.ReplaceAll(strings.ReplaceAll(name, " ", "_"), ".", "_")}
	for found && len(path) <= maxNesting {
		var part string
		if part, rest, found = strings.Cut(rest, "]"); !found {
			break
		}
		path = append(path, part)
		if !strings.HasPrefix(rest, "[") {
			break
		}
		rest = rest[1:]
	}
	return path
}

// unescape is PHP's urldecode: a percent sign that starts no escape stays as it is.
func unescape(text string) string {
	if !strings.ContainsAny(text, "%+") {
		return text
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '+':
			out = append(out, ' ')
		case text[i] == '%' && i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2]):
			b, _ := strconv.ParseUint(text[i+1:i+3], 16, 8)
			out = append(out, byte(b))
			i += 2
		default:
			out = append(out, text[i])
		}
	}
	return string(out)
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// parseJSON reads one JSON value and keeps the order of its keys. It returns nil when the text is
// not JSON or nests too deep.
func parseJSON(raw []byte) *node {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	root := decodeValue(decoder, 0)
	if root == nil {
		return nil
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil
	}
	return root
}

func decodeValue(decoder *json.Decoder, depth int) *node {
	token, err := decoder.Token()
	if err != nil {
		return nil
	}
	switch token := token.(type) {
	case json.Delim:
		if depth >= maxNesting {
			return nil
		}
		return decodeArray(decoder, token == '{', depth+1)
	case string:
		return newText(token)
	case json.Number:
		return &node{kind: numberNode, text: token.String()}
	case bool:
		n := &node{kind: boolNode}
		if token {
			n.text = "1"
		}
		return n
	default:
		return &node{kind: nullNode}
	}
}

func decodeArray(decoder *json.Decoder, keyed bool, depth int) *node {
	array := newArray()
	for decoder.More() {
		key := ""
		if keyed {
			token, err := decoder.Token()
			if err != nil {
				return nil
			}
			key, _ = token.(string)
		}
		item := decodeValue(decoder, depth)
		switch {
		case item == nil:
			return nil
		case keyed:
			array.set(key, item)
		default:
			array.push(strconv.Itoa(len(array.items)), item)
		}
	}
	if _, err := decoder.Token(); err != nil {
		return nil
	}
	return array
}

// readParams merges the query string and the body; the body wins. A body that cannot be read as
// what its Content-Type says counts as empty, so that the method misses its parameters (sheet 2.5).
func readParams(r *http.Request, body []byte) *node {
	params := parseQuery(r.URL.RawQuery)
	if len(body) == 0 {
		return params
	}
	mediaType, options, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch mediaType {
	case "application/json":
		if root := parseJSON(body); root.isArray() {
			params.merge(root)
		}
	case "application/x-www-form-urlencoded":
		params.merge(parseQuery(string(body)))
	case "multipart/form-data":
		params.merge(parseMultipart(body, options["boundary"]))
	}
	return params
}

func parseMultipart(body []byte, boundary string) *node {
	root := newArray()
	if boundary == "" {
		return root
	}
	reader := multipart.NewReader(bytes.NewReader(body), boundary)
	for range maxVars {
		part, err := reader.NextPart()
		if err != nil {
			break
		}
		if part.FileName() != "" {
			continue
		}
		value, err := io.ReadAll(part)
		if err != nil {
			break
		}
		root.assign(part.FormName(), newText(string(value)))
	}
	return root
}
