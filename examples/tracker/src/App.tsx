import { useQuery } from "convex/react";
import { api } from "../convex/_generated/api";
import { IssueDetail } from "./components/IssueDetail";
import { ProjectView } from "./components/ProjectView";
import { Sidebar } from "./components/Sidebar";
import { Welcome } from "./components/Welcome";
import { useMember } from "./lib/useMember";
import { useRoute } from "./lib/useRoute";

export function App() {
  const { name, id: me, setName } = useMember();
  const [route, goTo] = useRoute();
  const projects = useQuery(api.projects.list);
  const project = projects?.find(({ key }) => key === route.key) ?? projects?.[0];

  return (
    <div className="app" data-detail={route.number !== undefined}>
      <Sidebar projects={projects} current={project?.key} name={name} onName={setName} />
      {projects?.length === 0 && <Welcome />}
      {project !== undefined && <ProjectView key={project._id} project={project} me={me} selected={route.number} />}
      {project !== undefined && route.number !== undefined && (
        <IssueDetail
          key={`${project.key}-${route.number}`}
          projectKey={project.key}
          number={route.number}
          me={me}
          myName={name}
          onClose={() => goTo({ key: project.key })}
        />
      )}
    </div>
  );
}
