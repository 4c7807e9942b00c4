package zapsigntest

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// makePDF sets lines of text on a page. It is what becomes of DOCX and Markdown.
func makePDF(lines []string) []byte {
	var content bytes.Buffer
	content.WriteString("BT /F1 11 Tf 50 790 Td 14 TL\n")
	escape := strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`, "\r", "")
	for _, line := range lines {
		fmt.Fprintf(&content, "(%s) '\n", escape.Replace(latin1(line)))
	}
	content.WriteString("ET")
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", content.Len(), content.String()),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
	}
	var pdf bytes.Buffer
	pdf.WriteString("%PDF-1.4\n")
	offsets := make([]int, len(objects))
	for i, object := range objects {
		offsets[i] = pdf.Len()
		fmt.Fprintf(&pdf, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	table := pdf.Len()
	fmt.Fprintf(&pdf, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, offset := range offsets {
		fmt.Fprintf(&pdf, "%010d 00000 n \n", offset)
	}
	fmt.Fprintf(&pdf, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, table)
	return pdf.Bytes()
}

// latin1 encodes text for the font, as far as that goes.
func latin1(text string) string {
	encoded := make([]byte, 0, len(text))
	for _, char := range text {
		if char > 0xff {
			char = '?'
		}
		encoded = append(encoded, byte(char))
	}
	return string(encoded)
}

const maxDocumentXML = 16 << 20

var (
	paragraphEnd = regexp.MustCompile(`</w:p>`)
	tag          = regexp.MustCompile(`<[^>]*>`)
	placeholder  = regexp.MustCompile(`\{\{[^{}]{1,200}\}\}`)
	entities     = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&quot;", `"`, "&apos;", "'", "&amp;", "&")
)

// docxText returns the text of a DOCX. What is no DOCX counts as its own text if it is UTF-8, so
// that tests need no word processor.
func docxText(content []byte) string {
	archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		if utf8.Valid(content) {
			return string(content)
		}
		return ""
	}
	part, err := archive.Open("word/document.xml")
	if err != nil {
		return ""
	}
	defer part.Close()
	xml, _ := io.ReadAll(io.LimitReader(part, maxDocumentXML))
	return entities.Replace(tag.ReplaceAllString(paragraphEnd.ReplaceAllString(string(xml), "\n"), ""))
}

// variables returns the {{VARIABLES}} of a text, each once, in their order.
func variables(text string) []string {
	var names []string
	seen := map[string]bool{}
	for _, name := range placeholder.FindAllString(text, -1) {
		if !seen[name] {
			seen[name], names = true, append(names, name)
		}
	}
	return names
}

func textPDF(text string) []byte { return makePDF(strings.Split(text, "\n")) }
