interface Props {
  label: string;
  value: string;
  /** Values with their labels. */
  options: [string, string][];
  onChange: (value: string) => void;
}

/** A choice with a label. */
export function Field({ label, value, options, onChange }: Props) {
  return (
    <label className="field">
      <span>{label}</span>
      <select value={value} onChange={(event) => onChange(event.target.value)}>
        {options.map(([option, name]) => (
          <option key={option} value={option}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}
