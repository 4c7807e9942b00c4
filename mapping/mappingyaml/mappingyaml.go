// Package mappingyaml reads mappings that are written in YAML. It is a module of its own, so that
// only hosts that keep mappings in files carry a YAML parser.
//
// The form is that of [mapping.Parse]: the same names, in YAML's notation. What YAML would guess at
// is refused instead: numbers that JSON does not know (010, 0x1F, 1_000, .inf), names that
// are no strings, two documents, anchors and aliases, and tags. Numbers keep their digits;
// Y, N, yes, no, on and off are strings, and so is a date.
package mappingyaml

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/enlace-go/enlace/mapping"
)

// maxDepth is how deep a document may nest. A mapping whose parts all nest as deep as
// they may stays below.
const maxDepth = 64

// Parse reads a mapping from YAML, of which JSON is a part, up to [mapping.MaxMapping] bytes. It does not
// check what [mapping.Compile] checks. The error is a [*mapping.Error] and matches
// [mapping.ErrMapping]; where the YAML is at fault it names the line.
func Parse(data []byte) (mapping.Mapping, error) {
	if len(data) > mapping.MaxMapping {
		return mapping.Mapping{}, refuse(mapping.ReasonLimit, fmt.Sprintf("the mapping is longer than %d bytes", mapping.MaxMapping))
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			return mapping.Mapping{}, refuse(mapping.ReasonSyntax, "the document is empty")
		}
		return mapping.Mapping{}, refuse(mapping.ReasonSyntax, err.Error())
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return mapping.Mapping{}, refuse(mapping.ReasonSyntax, "there is more than one document")
	}
	text, err := appendJSON(nil, document.Content[0], 1)
	if err != nil {
		return mapping.Mapping{}, err
	}
	return mapping.Parse(text)
}

func refuse(reason mapping.Reason, detail string) error {
	return &mapping.Error{Kind: mapping.ErrMapping, Faults: []mapping.Fault{{Reason: reason, Detail: detail}}}
}

func refuseNode(n *yaml.Node, reason mapping.Reason, detail string) error {
	return refuse(reason, fmt.Sprintf("line %d: %s", n.Line, detail))
}

// appendJSON writes a node as JSON.
func appendJSON(dst []byte, n *yaml.Node, depth int) ([]byte, error) {
	switch {
	case depth > maxDepth:
		return nil, refuseNode(n, mapping.ReasonLimit, fmt.Sprintf("the document nests deeper than %d", maxDepth))
	case n.Anchor != "" || n.Kind == yaml.AliasNode:
		return nil, refuseNode(n, mapping.ReasonSyntax, "anchors and aliases are not read; write the part out, or lay one mapping over another")
	case n.Style&yaml.TaggedStyle != 0:
		return nil, refuseNode(n, mapping.ReasonSyntax, "tags are not read")
	case n.Kind == yaml.MappingNode:
		return appendObject(dst, n, depth)
	case n.Kind == yaml.SequenceNode:
		return appendArray(dst, n, depth)
	default:
		return appendScalar(dst, n)
	}
}

func appendObject(dst []byte, n *yaml.Node, depth int) ([]byte, error) {
	seen := make(map[string]bool, len(n.Content)/2)
	dst = append(dst, '{')
	var err error
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i]
		switch {
		case name.Kind != yaml.ScalarNode || name.ShortTag() != "!!str":
			return nil, refuseNode(name, mapping.ReasonSyntax, "a name is a string; put it in quotes")
		case seen[name.Value]:
			return nil, refuseNode(name, mapping.ReasonConflict, strconv.Quote(name.Value)+" is there twice")
		}
		seen[name.Value] = true
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendJSON(dst, name, depth+1); err != nil {
			return nil, err
		}
		if dst, err = appendJSON(append(dst, ':'), n.Content[i+1], depth+1); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func appendArray(dst []byte, n *yaml.Node, depth int) ([]byte, error) {
	dst = append(dst, '[')
	var err error
	for i, element := range n.Content {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendJSON(dst, element, depth+1); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

// appendScalar takes the scalar's own text: decoding a number would round it.
func appendScalar(dst []byte, n *yaml.Node) ([]byte, error) {
	switch n.ShortTag() {
	case "!!null":
		return append(dst, "null"...), nil
	case "!!bool":
		var value bool
		if err := n.Decode(&value); err != nil {
			return nil, refuseNode(n, mapping.ReasonSyntax, "it is no boolean")
		}
		return strconv.AppendBool(dst, value), nil
	case "!!int", "!!float":
		if !json.Valid([]byte(n.Value)) {
			return nil, refuseNode(n, mapping.ReasonSyntax, "the number is not one of JSON; write it in decimal, or in quotes if it is a text")
		}
		return append(dst, n.Value...), nil
	case "!!str", "!!timestamp":
		return append(dst, mapping.Of(n.Value)...), nil
	case "!!merge":
		return nil, refuseNode(n, mapping.ReasonSyntax, "merging is not read; lay one mapping over another")
	default:
		return nil, refuseNode(n, mapping.ReasonSyntax, "the kind of value is not read")
	}
}
